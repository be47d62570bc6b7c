"""Builds generated kernels with PyOpenCL and runs them on NumPy arrays: nothing of the runtime under test."""

from __future__ import annotations

import os

import numpy as np
import pytest

from flownet.devices.opencl.target import Target, pin_pocl_threads

os.environ.setdefault("PYOPENCL_NO_CACHE", "1")


class Runner:
    """One queue on one OpenCL device."""

    def __init__(self, device=None):
        cl = pytest.importorskip("pyopencl", reason="PyOpenCL is not installed")
        self.cl = cl
        pin_pocl_threads()
        if device is None:
            try:
                device = cl.get_platforms()[0].get_devices()[0]
            except (cl.Error, IndexError):
                pytest.skip("no OpenCL platform on this machine")
        self.device = device
        self.context = cl.Context([device])
        self.queue = cl.CommandQueue(self.context)

    def buffer(self, array):
        flags = self.cl.mem_flags.READ_WRITE | self.cl.mem_flags.COPY_HOST_PTR
        return self.cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(array))

    def build(self, kernel, options=Target.build_options):
        program = self.cl.Program(self.context, kernel.source()).build(options)
        return self.cl.Kernel(program, kernel.name)

    def launcher(self, kernel, buffers):
        """A function that launches the kernel once over device buffers given by name."""
        built = self.build(kernel)
        built.set_args(*[buffers[a.name] for a in kernel.arguments])
        size, local = kernel.global_size(), kernel.local
        return lambda: self.cl.enqueue_nd_range_kernel(self.queue, built, size, local)

    def __call__(self, kernels, **arrays):
        """Runs kernels in order; returns every buffer that one of them writes, as flat arrays. What is not given
        starts as NaN, so that an element which nobody wrote shows."""
        kernels = getattr(kernels, "kernels", None) or (kernels if isinstance(kernels, tuple) else (kernels,))
        buffers, written = {}, {}
        for kernel in kernels:
            for a in kernel.arguments:
                if a.name not in buffers:
                    given = arrays.get(a.name)
                    if given is None:
                        assert a.access != "in", f"{a.name} was not given"
                        given = np.full(a.size, np.nan, np.float32)
                    flat = np.ascontiguousarray(given, np.float32).ravel()
                    assert flat.size == a.size, f"{a.name}: {flat.size} elements for {a.size}"
                    buffers[a.name] = self.buffer(flat)
                if a.access != "in":
                    written[a.name] = a.size
        for kernel in kernels:
            self.launcher(kernel, buffers)()
        self.queue.finish()
        out = {}
        for name, size in written.items():
            out[name] = np.empty(size, np.float32)
            self.cl.enqueue_copy(self.queue, out[name], buffers[name])
        return out
