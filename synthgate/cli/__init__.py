"""The command line: `synthgate`. Each command converts its options, calls the client, and shows the value it got."""
