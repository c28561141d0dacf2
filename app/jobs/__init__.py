"""Jobs: the queue and its worker."""
