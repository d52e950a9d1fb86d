"""Tape libraries of a media server: which devices it has, and what a robot says of its elements.

Nothing here moves a cartridge. Design: `docs/design/tape.md`.
"""
