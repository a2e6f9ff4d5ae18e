"""The model directory: read once into one frozen `Inspection`."""
