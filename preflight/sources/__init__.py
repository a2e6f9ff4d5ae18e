"""Where models lie beside the disk: the prefix of a bucket, a hub."""
