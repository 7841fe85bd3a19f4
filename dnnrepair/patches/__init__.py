"""Patches as files, and what one does to a network's file."""
