"""What the parts do on their own, each in a process of its own: the floors that figures are divided by."""
