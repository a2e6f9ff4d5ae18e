"""The fake of Model Studio's import API: state that knows no HTTP, and thin routes."""
