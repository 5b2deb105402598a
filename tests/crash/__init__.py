"""Real processes of the program, ended by force at random moments: what is lost?"""
