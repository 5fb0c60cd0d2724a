"""Answers with a random number between 1 and MAX."""

import os
import random

from flask import Flask, jsonify

app = Flask(__name__)
highest = int(os.environ.get("MAX", "100"))


@app.get("/")
def number():
    return jsonify(number=random.randint(1, highest))


@app.get("/healthz")
def healthz():
    return "ok\n"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
