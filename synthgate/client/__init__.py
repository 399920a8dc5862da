"""The client of the gateway, and the conversions that both ends share."""
