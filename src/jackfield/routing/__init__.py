"""Who is asked: selection among what is plugged. Decisions are pure; each one can be explained."""
