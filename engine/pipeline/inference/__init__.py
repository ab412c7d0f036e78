"""What is known of values before anything runs."""
