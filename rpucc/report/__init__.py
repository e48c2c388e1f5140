"""What commands print, as pure functions from plans and metrics to text and rich tables."""
