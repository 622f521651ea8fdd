"""Intel TDX: quotes, who signed them, and whether Intel still endorses the platform."""
