"""What each code of a problem means, with examples."""
