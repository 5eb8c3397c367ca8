"""From a mail address to its IMAP server: presets, Mozilla's autoconfig, SRV records."""
