"""Drawings of a program, its arrays and its devices, as SVG."""
