//! "What is ...?": a definition, its formula, and a worked example.

use super::textbook::Exchange;

struct Concept {
    /// Completes "What is ...?".
    what: &'static str,
    title: &'static str,
    definition: &'static str,
    formula: &'static str,
    /// The given values, the result of the formula, and its meaning.
    example: [&'static str; 3],
}

pub(super) fn exchanges() -> Vec<Exchange> {
    CONCEPTS.iter().map(exchange).collect()
}

fn exchange(concept: &Concept) -> Exchange {
    let Concept {
        what,
        title,
        definition,
        formula,
        example: [given, computed, meaning],
    } = concept;
    let response = format!(
        "## Definition: {title}\n\n**Definition.** {definition}\n\n$$ {formula} $$\n\n\
         ### Example\n\n1. **Given.** {given}\n2. **Computation.** {computed}\n\
         3. **Conclusion.** {meaning}"
    );
    Exchange {
        prompt: format!("What is {what}?"),
        response,
    }
}

const CONCEPTS: [Concept; super::how_to::COUNT] = [
    Concept {
        what: "speed",
        title: "Speed",
        definition: "*Speed* is the distance $s$ covered per unit of time $t$.",
        formula: "v = \\frac{s}{t}",
        example: [
            "$s = 120$ km in $t = 2$ h.",
            "$v = \\frac{120}{2} = 60$ km/h.",
            "The car travels at 60 kilometres per hour.",
        ],
    },
    Concept {
        what: "density",
        title: "Density",
        definition: "*Density* is mass $m$ per volume $V$.",
        formula: "\\rho = \\frac{m}{V}",
        example: [
            "$m = 600$ g and $V = 300$ cm$^3$.",
            "$\\rho = \\frac{600}{300} = 2$ g/cm$^3$.",
            "The body is denser than water and sinks.",
        ],
    },
    Concept {
        what: "the area of a rectangle",
        title: "Area of a Rectangle",
        definition: "The *area* is the product of length $a$ and width $b$.",
        formula: "A = a \\cdot b",
        example: [
            "$a = 7$ m and $b = 3$ m.",
            "$A = 7 \\cdot 3 = 21$ m$^2$.",
            "The floor measures 21 square metres.",
        ],
    },
    Concept {
        what: "the perimeter of a square",
        title: "Perimeter of a Square",
        definition: "The *perimeter* is the sum of its four equal sides $a$.",
        formula: "P = 4a",
        example: [
            "$a = 6$ cm.",
            "$P = 4 \\cdot 6 = 24$ cm.",
            "A thread of 24 centimetres runs once around it.",
        ],
    },
    Concept {
        what: "the Pythagorean theorem",
        title: "The Pythagorean Theorem",
        definition: "In a right triangle with legs $a$, $b$ and hypotenuse $c$, the squares are related.",
        formula: "a^2 + b^2 = c^2",
        example: [
            "$a = 3$ and $b = 4$.",
            "$c^2 = 9 + 16 = 25$, so $c = 5$.",
            "The longest side measures 5.",
        ],
    },
    Concept {
        what: "an average",
        title: "Arithmetic Mean",
        definition: "The *mean* of $n$ numbers is their sum divided by $n$.",
        formula: "\\bar{x} = \\frac{1}{n} \\sum_{i=1}^{n} x_i",
        example: [
            "The numbers 4, 6 and 11.",
            "$\\bar{x} = \\frac{21}{3} = 7$.",
            "On average each number is 7.",
        ],
    },
    Concept {
        what: "a percentage",
        title: "Percentage",
        definition: "A *percentage* $p$ is a part $W$ of a whole $G$ in hundredths.",
        formula: "p = \\frac{W}{G} \\cdot 100",
        example: [
            "$W = 12$ of $G = 48$ pupils.",
            "$p = \\frac{12}{48} \\cdot 100 = 25$.",
            "A quarter of the pupils, 25 percent, are meant.",
        ],
    },
    Concept {
        what: "a prime number",
        title: "Prime Number",
        definition: "A natural number $p > 1$ is *prime* if only 1 and $p$ divide it.",
        formula: "d \\mid p \\Rightarrow d \\in \\{1, p\\}",
        example: [
            "Consider $p = 7$.",
            "None of 2, 3, 4, 5, 6 divides 7.",
            "Therefore 7 is prime, whereas $8 = 2 \\cdot 4$ is not.",
        ],
    },
    Concept {
        what: "an even number",
        title: "Even Number",
        definition: "An integer $n$ is *even* if it is twice an integer $k$.",
        formula: "n = 2k",
        example: [
            "Consider $n = 14$.",
            "$14 = 2 \\cdot 7$.",
            "Hence 14 is even; 15 leaves a remainder of 1 and is odd.",
        ],
    },
    Concept {
        what: "gravity",
        title: "Gravity",
        definition: "*Gravity* is the attraction of masses; near the ground it pulls a mass $m$ with a force $F$.",
        formula: "F = m g, \\quad g \\approx 9.8 \\text{ m/s}^2",
        example: [
            "$m = 10$ kg.",
            "$F \\approx 10 \\cdot 9.8 = 98$ N.",
            "The bag pulls at the hand with about 98 newtons.",
        ],
    },
    Concept {
        what: "photosynthesis",
        title: "Photosynthesis",
        definition: "In *photosynthesis* plants use light to make sugar from carbon dioxide and water.",
        formula: "6\\,\\mathrm{CO_2} + 6\\,\\mathrm{H_2O} \\rightarrow \\mathrm{C_6H_{12}O_6} + 6\\,\\mathrm{O_2}",
        example: [
            "A leaf in sunlight.",
            "It takes in $\\mathrm{CO_2}$ and releases $\\mathrm{O_2}$.",
            "The oxygen that animals breathe comes from this process.",
        ],
    },
    Concept {
        what: "probability",
        title: "Probability",
        definition: "If all outcomes are equally likely, *probability* is the share of favourable ones.",
        formula: "P(A) = \\frac{|A|}{|\\Omega|}",
        example: [
            "A die, and the event of an even number.",
            "$P = \\frac{3}{6} = \\frac{1}{2}$.",
            "In the long run every second throw is even.",
        ],
    },
    Concept {
        what: "simple interest",
        title: "Simple Interest",
        definition: "*Simple interest* grows with capital $K$, rate $p$ (in percent) and years $t$.",
        formula: "Z = \\frac{K \\cdot p \\cdot t}{100}",
        example: [
            "$K = 500$, $p = 4$, $t = 3$.",
            "$Z = \\frac{500 \\cdot 4 \\cdot 3}{100} = 60$.",
            "After three years 60 have been earned.",
        ],
    },
    Concept {
        what: "an electric current",
        title: "Electric Current",
        definition: "*Current* $I$ is charge $Q$ per time $t$, measured in amperes.",
        formula: "I = \\frac{Q}{t}",
        example: [
            "$Q = 30$ C in $t = 10$ s.",
            "$I = \\frac{30}{10} = 3$ A.",
            "A current of 3 amperes flows.",
        ],
    },
    Concept {
        what: "a fraction",
        title: "Fraction",
        definition: "A *fraction* is the quotient of a numerator $a$ and a denominator $b \\neq 0$.",
        formula: "\\frac{a}{b} = a : b",
        example: [
            "A cake in 8 equal pieces, 2 of them eaten.",
            "$\\frac{2}{8} = \\frac{1}{4}$.",
            "A quarter of the cake is gone.",
        ],
    },
    Concept {
        what: "a square root",
        title: "Square Root",
        definition: "The *square root* of $a \\geq 0$ is the number $x \\geq 0$ whose square is $a$.",
        formula: "x = \\sqrt{a} \\iff x^2 = a,\\; x \\geq 0",
        example: [
            "$a = 81$.",
            "$9^2 = 81$, so $\\sqrt{81} = 9$.",
            "A square of area 81 has sides of length 9.",
        ],
    },
    Concept {
        what: "pressure",
        title: "Pressure",
        definition: "*Pressure* is a force $F$ per area $A$ on which it acts.",
        formula: "p = \\frac{F}{A}",
        example: [
            "$F = 100$ N on $A = 2$ m$^2$.",
            "$p = \\frac{100}{2} = 50$ Pa.",
            "On half the area the pressure would double.",
        ],
    },
    Concept {
        what: "the boiling point of water",
        title: "Boiling Point of Water",
        definition: "At normal air pressure *water boils* at 100 degrees Celsius.",
        formula: "F = \\frac{9}{5} C + 32",
        example: [
            "$C = 100$.",
            "$F = \\frac{9}{5} \\cdot 100 + 32 = 212$.",
            "That is 212 degrees Fahrenheit.",
        ],
    },
    Concept {
        what: "the volume of a cube",
        title: "Volume of a Cube",
        definition: "The *volume* of a cube is the third power of its edge $a$.",
        formula: "V = a^3",
        example: [
            "$a = 4$ cm.",
            "$V = 4^3 = 64$ cm$^3$.",
            "The cube holds 64 cubic centimetres.",
        ],
    },
    Concept {
        what: "a leap year",
        title: "Leap Year",
        definition: "A *leap year* has 366 days; as a rule its number is divisible by 4.",
        formula: "4 \\mid n \\;\\land\\; (100 \\nmid n \\;\\lor\\; 400 \\mid n)",
        example: [
            "$n = 2024$.",
            "$2024 = 4 \\cdot 506$, and 100 does not divide it.",
            "Thus 2024 is a leap year, while 1900 is none.",
        ],
    },
    Concept {
        what: "a right angle",
        title: "Right Angle",
        definition: "A *right angle* is a quarter of a full turn.",
        formula: "\\frac{360^\\circ}{4} = 90^\\circ",
        example: [
            "The corner of a sheet of paper.",
            "Four of them give $4 \\cdot 90^\\circ = 360^\\circ$.",
            "Four corners meet without a gap.",
        ],
    },
    Concept {
        what: "frequency",
        title: "Frequency",
        definition: "*Frequency* is the number $n$ of repetitions per time $t$.",
        formula: "f = \\frac{n}{t}",
        example: [
            "$n = 50$ swings in $t = 10$ s.",
            "$f = \\frac{50}{10} = 5$ Hz.",
            "It swings five times per second.",
        ],
    },
    Concept {
        what: "a triangle",
        title: "Triangle",
        definition: "A *triangle* has three sides; its angles $\\alpha, \\beta, \\gamma$ have a fixed sum.",
        formula: "\\alpha + \\beta + \\gamma = 180^\\circ",
        example: [
            "$\\alpha = 90^\\circ$ and $\\beta = 30^\\circ$.",
            "$\\gamma = 180^\\circ - 120^\\circ = 60^\\circ$.",
            "The third angle measures 60 degrees.",
        ],
    },
    Concept {
        what: "a discount",
        title: "Discount",
        definition: "A *discount* of $p$ percent lowers a price $G$ by that share.",
        formula: "N = G \\cdot \\left(1 - \\frac{p}{100}\\right)",
        example: [
            "$G = 80$ and $p = 25$.",
            "$N = 80 \\cdot 0.75 = 60$.",
            "The new price is 60, a saving of 20.",
        ],
    },
];
