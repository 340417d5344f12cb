"""A faithful local OpenRouter: for the demo, for tests, and for anyone who wants to try a guard without an account.

It is written from OpenRouter's documented and observed behaviour, on its own: it shares no code with
`monitor.openrouter`, so that it can find the guard's errors. Where OpenRouter's behaviour is uncertain it takes
the reading that costs the user more, and accepts more than a careful server would.
"""
