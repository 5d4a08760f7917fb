"""LoRAscope: what LoRA changed inside an adapted speech model, layer by layer."""

__version__ = "0.1.0"
