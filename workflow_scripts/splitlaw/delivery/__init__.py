"""Final models as something to use: a routed model, an average, a mixture of experts, a server.

`final_folder` reads and checks the specialists of a strategy, `routing` weights them for a prompt,
`decoding` continues prompts, `routed` is the model that combines them. `export` writes a folder of
one of three kinds: `routed`, `average` (`averaging`) or `moe` (`experts`, `gates`,
`expert_training`), with a card (`cards`). `requests`, `engine`, `server` and `chat` answer prompts.
`measure` and `comparison` compare the kinds.
"""
