"""Entrances, one per dialect that clients speak. Siblings never import each other."""
