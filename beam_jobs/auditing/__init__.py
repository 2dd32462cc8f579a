"""The rules that published recommendations keep."""
