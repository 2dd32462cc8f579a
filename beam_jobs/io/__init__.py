"""Files and tables, on local disks and gs:// alike."""
