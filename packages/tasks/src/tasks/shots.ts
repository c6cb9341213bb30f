// Solved examples that stand before a problem; written for this project, none is in a benchmark.
import type { TaskInput } from "./definition.ts";

type Shots = NonNullable<TaskInput["shots"]>;

export const gsmShots: Shots = [
  {
    question:
      "A baker makes 6 trays of rolls with 12 rolls on each tray. She sells 50 rolls. How many rolls are left?",
    solution: "She makes 6 * 12 = 72 rolls. After selling 50 there are 72 - 50 = 22 rolls left.",
    answer: "22",
    program: "rolls = 6 * 12\nprint(rolls - 50)",
  },
  {
    question:
      "Nora reads 15 pages a day for a week and 10 pages on each of the next 3 days. How many pages does she read?",
    solution:
      "In the week she reads 15 * 7 = 105 pages. Then she reads 10 * 3 = 30 pages. Together that is 105 + 30 = 135.",
    answer: "135",
    program: "week = 15 * 7\nprint(week + 3 * 10)",
  },
  {
    question: "A shirt costs $24 and is reduced by a quarter. What do two such shirts cost now?",
    solution:
      "A quarter of 24 is 24 / 4 = 6, so one shirt costs 24 - 6 = 18 dollars. Two cost 2 * 18 = 36 dollars.",
    answer: "36",
    program: "price = 24 - 24 // 4\nprint(2 * price)",
  },
  {
    question: "Tim has twice as many stamps as Eva. Together they have 90. How many stamps does Eva have?",
    solution: "Eva's share is one part and Tim's two parts, 3 parts in all. One part is 90 / 3 = 30.",
    answer: "30",
    program: "part = 90 // (1 + 2)\nprint(part)",
  },
  {
    question: "A train covers 180 miles in 3 hours. How far does it go in 5 hours at the same speed?",
    solution: "Its speed is 180 / 3 = 60 miles an hour. In 5 hours it goes 60 * 5 = 300 miles.",
    answer: "300",
    program: "speed = 180 // 3\nprint(5 * speed)",
  },
  {
    question: "A tank holds 200 liters. It is 40% full and 30 liters are added. How many liters are in it?",
    solution: "40% of 200 is 0.4 * 200 = 80 liters. After adding there are 80 + 30 = 110 liters.",
    answer: "110",
    program: "liters = 200 * 40 // 100\nprint(liters + 30)",
  },
  {
    question: "Four friends share a bill of $86 and a tip of $14 equally. How much does each pay?",
    solution: "The total is 86 + 14 = 100 dollars. Each pays 100 / 4 = 25 dollars.",
    answer: "25",
    program: "total = 86 + 14\nprint(total // 4)",
  },
  {
    question: "A farmer plants 9 rows of 14 trees. 17 trees die. How many trees live?",
    solution: "There are 9 * 14 = 126 trees. After 17 die, 126 - 17 = 109 live.",
    answer: "109",
    program: "trees = 9 * 14\nprint(trees - 17)",
  },
];

export const mathShots: Shots = [
  {
    question: "Find the domain of the expression $\\frac{\\sqrt{x-1}}{\\sqrt{7-x}}$.",
    solution: "The roots need $x-1 \\ge 0$ and $7-x > 0$. Thus $1 \\le x < 7$, which is $\\boxed{[1,7)}$.",
    answer: "[1,7)",
    program:
      "from sympy import *\nx = symbols('x')\nprint(latex(Intersection(solveset(x - 1 >= 0, x, S.Reals), solveset(7 - x > 0, x, S.Reals))))",
  },
  {
    question:
      "If $\\det \\mathbf{P} = 3$ and $\\det \\mathbf{Q} = 5$, find $\\det (\\mathbf{P}\\mathbf{Q})$.",
    solution: "Determinants multiply: $\\det(\\mathbf{P}\\mathbf{Q}) = 3 \\cdot 5 = \\boxed{15}$.",
    answer: "15",
    program: "print(3 * 5)",
  },
  {
    question: "What is the value of $\\frac{2}{3} + \\frac{3}{4}$ as a common fraction?",
    solution: "Over the denominator 12 the sum is $\\frac{8}{12} + \\frac{9}{12} = \\boxed{\\frac{17}{12}}$.",
    answer: "\\frac{17}{12}",
    program: "from sympy import *\nprint(latex(Rational(2, 3) + Rational(3, 4)))",
  },
  {
    question:
      "If the system $4x - 6y = a$, $9y - 6x = b$ has a solution with $x$ and $y$ nonzero and $b$ nonzero, find $\\frac{a}{b}$.",
    solution:
      "Multiplying the first equation by $-\\frac32$ gives $9y - 6x = -\\frac32 a$, so $b = -\\frac32 a$ and $\\frac{a}{b} = \\boxed{-\\frac{2}{3}}$.",
    answer: "-\\frac{2}{3}",
    program:
      "from sympy import *\nx, y = symbols('x y', nonzero=True)\nprint(latex(simplify((4*x - 6*y) / (9*y - 6*x))))",
  },
];

export const zhShots: Shots = [
  {
    question: "一箱有24个苹果，3箱一共有多少个苹果？",
    solution: "每箱24个，3箱有24×3=72个苹果。",
    answer: "72",
  },
  {
    question: "小红有50元，买书花了18元，还剩多少元？",
    solution: "剩下的钱是50-18=32元。",
    answer: "32",
  },
  {
    question: "一根绳子长36米，平均剪成4段，每段长多少米？",
    solution: "每段长36÷4=9米。",
    answer: "9",
  },
  {
    question: "果园里有梨树45棵，桃树比梨树多15棵，两种树一共有多少棵？",
    solution: "桃树有45+15=60棵，一共有45+60=105棵。",
    answer: "105",
  },
];
