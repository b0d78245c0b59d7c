"""What `check` looks at, one module a subject; each finding is a sentence, and says what to do next."""
