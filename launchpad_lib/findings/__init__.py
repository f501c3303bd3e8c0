"""Results in, findings out: every sentence that judges is made here, by tested functions; a module per page."""
