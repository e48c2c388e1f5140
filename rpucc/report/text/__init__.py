"""What a terminal shows: tables and lines."""
