"""The notifiers, each against a real peer (Telegram: a stand-in that keeps to its rules)."""
