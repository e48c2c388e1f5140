"""What appends a step to a network: one file a learning rule, and what all of them need.

| file | what it is |
| --- | --- |
| `step.py` | what a step changes and by which rates, the updates, the step contract |
| `outer_product.py` | the outer products that move a matrix on arrays, and how several become one |
| `backprop.py` | the gradient of a loss (pass `differentiate`) |
| `feedback_alignment.py` | what the errors go back through, where that is not the weights |
| `objective.py` | which loss, of which value of the network: backprop's own |
| `own_loss.py` | a loss that is a user's ONNX model |

A rule says which x and d meet at which Read, and the gradients of what is not on arrays; `step.py`
makes one Update a matrix and one new value a digital parameter of that. A network without a rule
has the contract of inference (`StepContract.inference`), from the importer.
"""
