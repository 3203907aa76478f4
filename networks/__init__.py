"""Networks that ship with the project: one file each, with `build() -> pandapowerNet`."""
