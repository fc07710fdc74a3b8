/** Arithmetic on graph tensors, so that a network reads like the formula it computes. Numbers stand for constants. */
import type { GraphBuilder, TensorName } from '../../shared/onnx/graph.ts';

export type Operand = TensorName | number;

/** A half-open range [start, end) along one axis. */
export interface AxisSlice {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

/** Stands for 0, whose logarithm some GPUs cannot hold: its powers are as good as 0. */
const SMALLEST_BASE = 1e-30;

export type GraphMath = ReturnType<typeof mathOf>;

export function mathOf(graph: GraphBuilder) {
  const tensor = (operand: Operand) => (typeof operand === 'number' ? graph.scalar(operand) : operand);
  const binary = (op: string) => (a: Operand, b: Operand) => graph.node(op, [tensor(a), tensor(b)]);
  const unary = (op: string) => (a: TensorName) => graph.node(op, [a]);
  const add = binary('Add');
  const sub = binary('Sub');
  const mul = binary('Mul');
  const div = binary('Div');
  const clip = (a: TensorName, low: number, high: number) =>
    graph.node('Clip', [a, graph.scalar(low), graph.scalar(high)]);

  return {
    add,
    sub,
    mul,
    div,
    clip,
    min: binary('Min'),
    max: binary('Max'),
    pow: (a: TensorName, b: number) => graph.node('Pow', [a, graph.scalar(b)]),
    greater: binary('Greater'),
    exp: unary('Exp'),
    log: unary('Log'),
    sqrt: unary('Sqrt'),
    relu: unary('Relu'),
    square: (a: TensorName) => mul(a, a),

    /** a to a power that is a tensor, a ≥ 0. ONNX Runtime 1.30 fails on WebGPU when `Pow` spreads a [1, …, 1] exponent. */
    powByLog: (a: TensorName, b: TensorName) =>
      graph.node('Exp', [mul(b, graph.node('Log', [graph.node('Max', [a, graph.scalar(SMALLEST_BASE)])]))]),

    /** 0 up to `from`, 1 beyond `to`, straight in between; falling where `to` < `from`. */
    ramp: (a: TensorName, from: number, to: number) => clip(div(sub(a, from), to - from), 0, 1),

    /** As `ramp`, without corners. */
    smoothRamp(a: TensorName, from: number, to: number): TensorName {
      const x = clip(div(sub(a, from), to - from), 0, 1);
      return mul(mul(x, x), sub(3, mul(x, 2)));
    },

    /** a + share·(b − a). */
    mix: (a: TensorName, b: Operand, share: TensorName) => add(a, mul(share, sub(b, a))),

    where: (condition: TensorName, a: TensorName, b: TensorName) => graph.node('Where', [condition, a, b]),

    matMul: (a: TensorName, b: TensorName) => graph.node('MatMul', [a, b]),

    concat: (tensors: readonly TensorName[], axis: number) => graph.node('Concat', tensors, { axis }),

    /** A size of 0 keeps the input's size there, −1 takes what is left. */
    reshape: (a: TensorName, ...dims: readonly number[]) => graph.node('Reshape', [a, graph.integers(...dims)]),

    /** Sums over `axes` and keeps them with size 1. */
    sumOver: (a: TensorName, ...axes: readonly number[]) =>
      graph.node('ReduceSum', [a, graph.integers(...axes)], { keepdims: 1 }),

    slice(a: TensorName, ...slices: readonly AxisSlice[]): TensorName {
      const list = (of: (slice: AxisSlice) => number) => graph.integers(...slices.map(of));
      return graph.node('Slice', [a, list((s) => s.start), list((s) => s.end), list((s) => s.axis)]);
    },
  };
}
