"""Made by ./generate from proto/; do not edit."""
