"""Two owners of products of two numbers, small enough to solve on paper."""

import numpy as np
import scipy.sparse as sp

from gridmodel.ir.separable import Couplings
from gridmodel.ir.smooth import AbstractSmooth, SmoothBlock, SmoothProblem


class Product(AbstractSmooth):
    """min price'x  s.t.  x0 x1 = product,  x0^2 + x1^2 <= most: a hyperbola, which is not convex."""

    columns, equations, inequalities = 2, 1, 1

    def __init__(self, price, product, most):
        self.price, self.product, self.most = np.asarray(price, dtype=float), product, most

    def cost(self, x):
        return float(self.price @ x)

    def gradient(self, x):
        return self.price

    def residuals(self, x):
        return np.array([x[0] * x[1] - self.product]), np.array([x @ x - self.most])

    def jacobians(self, x):
        return sp.csr_array(x[None, ::-1].copy()), sp.csr_array(2.0 * x[None, :])

    def hessian(self, x, nu, zeta):
        return sp.csr_array(nu[0] * (1.0 - np.eye(2)) + 2.0 * zeta[0] * np.eye(2))


def block(name, price, product, most, units=1.0, sign=1.0):
    """A product that reports sign x0 to the first row and x1 to the second, rows times ``units``."""
    C = sp.csr_array(units * np.diag([sign, 1.0]))
    bounds = np.full(2, 0.1), np.full(2, 5.0)
    return SmoothBlock(name, Product(price, product, most), *bounds, np.ones(2), C, np.arange(2))


def problem(upper, most=20.0, units=1.0):
    """min a0 + 2 a1 + b0/5 + b1/2  s.t.  a0 a1 = 1, b0 b1 = 2, a0 = b0, a1 + b1 <= upper, b0^2 + b1^2 <= most.

    With t = a0 = b0: min 6/5 t + 3/t  s.t.  3/t <= upper,  t^2 + 4/t^2 <= most.
    """
    blocks = block("a", [1.0, 2.0], 1.0, 20.0, units), block("b", [0.2, 0.5], 2.0, most, units, -1.0)
    return SmoothProblem(blocks, Couplings(np.array([0.0, -np.inf]), np.array([0.0, units * upper]), ()))
