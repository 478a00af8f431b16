"""Messages in other systems' formats, beside our own: records in, messages out."""
