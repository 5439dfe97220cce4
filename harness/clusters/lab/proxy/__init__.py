"""The transparent proxy of a lab: what rules say of requests, questions and server names is judged here.

One process per lab, with sockets in all nodes; nft of each node sends it the connections (`steering.py`).
"""
