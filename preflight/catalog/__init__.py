"""What the service and its base models are, as data with source and date."""
