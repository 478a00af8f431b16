"""What is published beside our own messages, for those who read other systems' already: records in, messages out."""
