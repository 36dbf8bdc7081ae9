"""What attention costs under different schedules: traffic, arithmetic and time."""
