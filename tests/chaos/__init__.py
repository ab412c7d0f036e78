"""Whatever is killed, and whenever: random schedules of deaths, and the rules that must hold all the same."""
