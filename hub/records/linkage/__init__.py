"""Scored candidates for rows that do not name a person properly. It proposes; only a reviewer's decision links."""
