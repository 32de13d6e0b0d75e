"""Families that are not trained as a network from nothing is: a file each, by the family's name.

Config                             what model.config may say: a frozen dataclass of plain values
variant_config(variant) -> Config  with its defaults
Bench                              of train/experiment.py, with what is different overridden
"""
