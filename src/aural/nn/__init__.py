"""Layers that know no model, written as ONNX graphs that onnxruntime runs on the CPU."""
