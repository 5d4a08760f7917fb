"""The engine: owns torch, the device and the models; fills the store."""
