"""One TFLite graph: write its input in place, run it, read its outputs in place."""

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

Array = npt.NDArray[np.float32]


class Network:
    """A graph with one square image input, kept with its buffers for as long as the worker lives.

    Not thread-safe: the buffers are shared from call to call. The graphs keep no state: the
    same input gives bit-identical outputs, whatever was asked before.
    """

    def __init__(self, model: bytes, *, threads: int) -> None:
        """`model`: the contents of a .tflite file. Raises `ValueError` if it is not one."""
        self._interpreter = Interpreter(model_content=model, num_threads=threads)
        self._interpreter.allocate_tensors()
        # LiteRT refuses to run while numpy views of its buffers are alive, so what is kept here are the
        # functions that make a view, and a view lives no longer than the statement that uses it.
        (entry,) = self._interpreter.get_input_details()
        self._input = self._interpreter.tensor(entry["index"])
        self._outputs = [
            self._interpreter.tensor(detail["index"]) for detail in self._interpreter.get_output_details()
        ]
        self.input_px = int(entry["shape"][1])

    def run(self, crop: npt.NDArray[np.uint8], *, low: float, high: float) -> None:
        """Run on `crop` (input_px, input_px, 3), uint8 RGB, its 0..255 mapped to `low`..`high`."""
        values = self._input()[0]
        np.multiply(crop, np.float32((high - low) / 255), out=values)
        if low:
            values += np.float32(low)
        del values
        self._interpreter.invoke()

    def output(self, index: int) -> Array:
        """A view of output `index`, without the batch axis; drop it before the next `run`."""
        view: Array = self._outputs[index]()
        return view[0]
