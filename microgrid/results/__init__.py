"""What a run leaves behind: flat datasets with units, a folder that is whole or absent, a manifest."""
