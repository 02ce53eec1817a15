"""OpenAI's half of the simulated provider: its files, batches, chat, responses, limits, prices and webhooks.

What both halves share (clock, bill, faults, ids, replies) stays one room up. Law: nothing here knows Anthropic's words.
"""
