//! "How do I ...?": everyday tasks as procedures.

use super::textbook::Exchange;

/// Number of tasks, and so of prompts of every kind.
pub(super) const COUNT: usize = TASKS.len();

struct Task {
    /// Completes "How do I ...?".
    what: &'static str,
    title: &'static str,
    materials: [&'static str; 3],
    /// Name and description of each step.
    steps: [(&'static str, &'static str); 4],
    remark: &'static str,
}

pub(super) fn exchanges() -> Vec<Exchange> {
    TASKS.iter().map(exchange).collect()
}

fn exchange(task: &Task) -> Exchange {
    let mut response = format!("## Procedure: {}\n\n**Materials.**\n\n", task.title);
    for material in task.materials {
        response += &format!("- {material}\n");
    }
    response += "\n**Method.**\n\n";
    for (number, (name, action)) in task.steps.iter().enumerate() {
        response += &format!("{}. **{name}.** {action}\n", number + 1);
    }
    response += &format!("\n**Remark.** {}", task.remark);
    Exchange {
        prompt: format!("How do I {}?", task.what),
        response,
    }
}

const TASKS: [Task; 24] = [
    Task {
        what: "boil an egg",
        title: "Boiling an Egg",
        materials: ["one egg", "a small pot", "water"],
        steps: [
            ("Heat", "Bring enough water to cover the egg to a boil."),
            ("Immerse", "Lower the egg into the water with a spoon."),
            ("Wait", "Boil it for $t$ minutes."),
            ("Cool", "Hold the egg under cold water before peeling."),
        ],
        remark: "For a hard yolk choose $t = 10$; for a soft one, $t = 6$.",
    },
    Task {
        what: "make a cup of tea",
        title: "Preparing Tea",
        materials: ["one tea bag", "a cup", "fresh water"],
        steps: [
            ("Boil", "Heat the water to $100\\,^\\circ\\mathrm{C}$."),
            ("Pour", "Pour the water over the tea bag in the cup."),
            (
                "Steep",
                "Leave the bag in the water for three to five minutes.",
            ),
            ("Remove", "Take the bag out and add milk if desired."),
        ],
        remark: "The strength of the tea grows with the steeping time.",
    },
    Task {
        what: "cook rice",
        title: "Cooking Rice",
        materials: ["rice", "water", "a pot with a lid"],
        steps: [
            ("Rinse", "Rinse the rice until the water runs clear."),
            ("Measure", "Use twice as much water as rice, $V_w = 2 V_r$."),
            (
                "Simmer",
                "Boil, cover, and cook on low heat for about 15 minutes.",
            ),
            (
                "Rest",
                "Leave the lid on for five minutes, then loosen the grains.",
            ),
        ],
        remark: "Brown rice takes about twice as long as white rice.",
    },
    Task {
        what: "plant a tree",
        title: "Planting a Tree",
        materials: ["a young tree", "a spade", "water"],
        steps: [
            ("Dig", "Dig a hole twice as wide as the root ball."),
            (
                "Place",
                "Set the tree upright, its roots level with the ground.",
            ),
            ("Fill", "Return the soil and press it down gently."),
            (
                "Water",
                "Water the tree well at once and during the first summer.",
            ),
        ],
        remark: "Autumn and early spring are suitable seasons.",
    },
    Task {
        what: "clean a window",
        title: "Cleaning a Window",
        materials: ["a bucket of warm water", "a little dish soap", "two cloths"],
        steps: [
            ("Dust", "Wipe loose dust off the frame and the glass."),
            (
                "Wash",
                "Wash the glass with soapy water from top to bottom.",
            ),
            ("Rinse", "Wipe it again with clean water."),
            ("Dry", "Dry the glass with the second cloth."),
        ],
        remark: "Direct sunlight dries the soap too fast and leaves streaks.",
    },
    Task {
        what: "fold a shirt",
        title: "Folding a Shirt",
        materials: ["one clean shirt", "a flat table", "two free hands"],
        steps: [
            ("Lay", "Lay the shirt face down and smooth it."),
            ("Side", "Fold one side with its sleeve to the middle."),
            ("Mirror", "Fold the other side in the same way."),
            (
                "Halve",
                "Fold the bottom up to the collar and turn it over.",
            ),
        ],
        remark: "After the last fold the height is $h/2$ of the original $h$.",
    },
    Task {
        what: "change a light bulb",
        title: "Replacing a Light Bulb",
        materials: ["a new bulb", "a stable ladder", "a dry cloth"],
        steps: [
            ("Disconnect", "Switch the light off and let the bulb cool."),
            ("Unscrew", "Turn the old bulb counter-clockwise."),
            (
                "Insert",
                "Turn the new bulb clockwise until it sits firmly.",
            ),
            ("Test", "Switch the light on."),
        ],
        remark: "The power $P$ of the new bulb must satisfy $P \\leq P_{\\max}$ of the lamp.",
    },
    Task {
        what: "brush my teeth",
        title: "Brushing the Teeth",
        materials: ["a toothbrush", "toothpaste", "water"],
        steps: [
            ("Prepare", "Put a little toothpaste on the brush."),
            ("Outer", "Brush the outer surfaces with small circles."),
            ("Inner", "Brush the inner and the chewing surfaces."),
            ("Finish", "Spit out the paste after two minutes."),
        ],
        remark: "Twice a day gives $2 \\times 2 = 4$ minutes of brushing a day.",
    },
    Task {
        what: "write a thank-you letter",
        title: "Composing a Letter of Thanks",
        materials: ["paper", "a pen", "an envelope"],
        steps: [
            ("Address", "Begin with the name of the recipient."),
            (
                "Thank",
                "State in the first sentence what the thanks are for.",
            ),
            ("Explain", "Describe how the gift or help was of use."),
            ("Close", "End with a greeting and a signature."),
        ],
        remark: "Three to five sentences suffice.",
    },
    Task {
        what: "make a sandwich",
        title: "Assembling a Sandwich",
        materials: ["two slices of bread", "butter", "cheese and lettuce"],
        steps: [
            ("Spread", "Spread butter on both slices."),
            ("Layer", "Place cheese and lettuce on one slice."),
            ("Cover", "Put the second slice on top, butter down."),
            ("Cut", "Cut along the diagonal."),
        ],
        remark: "For $n$ sandwiches one needs $2n$ slices of bread.",
    },
    Task {
        what: "wash my hands properly",
        title: "Washing the Hands",
        materials: ["running water", "soap", "a clean towel"],
        steps: [
            ("Wet", "Hold both hands under running water."),
            ("Lather", "Spread soap over palms, backs and fingers."),
            ("Rub", "Rub for at least 20 seconds."),
            ("Rinse", "Rinse the soap off and dry the hands."),
        ],
        remark: "The duration $t \\geq 20$ seconds matters more than the temperature.",
    },
    Task {
        what: "pack a suitcase",
        title: "Packing a Suitcase",
        materials: ["a suitcase", "a list", "folded clothes"],
        steps: [
            ("List", "Write down what each day requires."),
            ("Base", "Put heavy things near the wheels."),
            ("Roll", "Roll soft clothes and fill the gaps with them."),
            ("Check", "Cross every packed thing off the list."),
        ],
        remark: "For $d$ days one packs about $d$ shirts.",
    },
    Task {
        what: "learn new vocabulary",
        title: "Learning Vocabulary",
        materials: ["blank cards", "a pen", "ten new words"],
        steps: [
            (
                "Record",
                "Write a word on the front and its meaning on the back.",
            ),
            ("Recall", "Look at the front and say the meaning aloud."),
            ("Sort", "Set the cards that were known apart."),
            ("Repeat", "Return to the others on the next day."),
        ],
        remark: "Ten words a day for a week give $10 \\cdot 7 = 70$ words.",
    },
    Task {
        what: "fix a flat bicycle tire",
        title: "Repairing a Bicycle Tire",
        materials: ["tire levers", "a patch kit", "a pump"],
        steps: [
            ("Open", "Remove the wheel and lift the tire off the rim."),
            ("Locate", "Pump up the tube and listen for escaping air."),
            (
                "Patch",
                "Roughen the spot, apply glue, and press on the patch.",
            ),
            ("Close", "Put tube and tire back and inflate them."),
        ],
        remark: "Check the inside of the tire for whatever caused the hole.",
    },
    Task {
        what: "bake potatoes",
        title: "Baking Potatoes",
        materials: ["four large potatoes", "oil", "salt"],
        steps: [
            ("Preheat", "Heat the oven to $200\\,^\\circ\\mathrm{C}$."),
            ("Prepare", "Wash the potatoes and pierce them with a fork."),
            ("Coat", "Rub them with oil and salt."),
            ("Bake", "Bake for about one hour until they are soft."),
        ],
        remark: "A potato twice as large needs more than one hour.",
    },
    Task {
        what: "water houseplants",
        title: "Watering Houseplants",
        materials: ["a watering can", "water at room temperature", "a saucer"],
        steps: [
            ("Test", "Press a finger about $2$ cm into the soil."),
            ("Decide", "Continue only if the soil is dry."),
            ("Water", "Pour slowly until water reaches the saucer."),
            ("Drain", "Empty the saucer after half an hour."),
        ],
        remark: "Most plants suffer more from too much water than from too little.",
    },
    Task {
        what: "tie my shoes",
        title: "Tying a Shoelace",
        materials: ["one shoe", "one lace", "two hands"],
        steps: [
            (
                "Cross",
                "Cross the ends, pull one under the other, and tighten.",
            ),
            ("Loop", "Form a loop with one end."),
            ("Wrap", "Lead the other end around the loop."),
            ("Pull", "Push it through as a second loop and pull both."),
        ],
        remark: "The result is a knot with $2$ loops and $2$ free ends.",
    },
    Task {
        what: "save money every month",
        title: "Saving Money",
        materials: ["a list of expenses", "a savings account", "a fixed goal"],
        steps: [
            ("Record", "Write down income $I$ and expenses $E$."),
            ("Compute", "The possible saving is $S = I - E$."),
            (
                "Transfer",
                "Move $S$ to the account on the first day of the month.",
            ),
            ("Review", "Compare plan and result at the end of the month."),
        ],
        remark: "Saving $50$ a month gives $12 \\times 50 = 600$ a year.",
    },
    Task {
        what: "make pancakes",
        title: "Making Pancakes",
        materials: ["200 g of flour", "two eggs", "300 ml of milk"],
        steps: [
            ("Mix", "Stir flour, eggs and milk to a smooth batter."),
            ("Heat", "Melt a little butter in a pan."),
            ("Pour", "Pour in a thin layer of batter."),
            ("Turn", "Turn the pancake when its lower side is golden."),
        ],
        remark: "For twice as many pancakes double every amount: $2 \\times 200 = 400$ g of flour.",
    },
    Task {
        what: "read a map",
        title: "Reading a Map",
        materials: ["a map", "a compass", "a ruler"],
        steps: [
            ("Orient", "Turn the map until its north points north."),
            ("Locate", "Find the present position by landmarks."),
            ("Measure", "Measure the distance $m$ on the map."),
            ("Convert", "Multiply by the scale $s$: $d = m \\cdot s$."),
        ],
        remark: "At a scale of $1 : 50000$, two centimetres stand for one kilometre.",
    },
    Task {
        what: "prepare for a job interview",
        title: "Preparing for an Interview",
        materials: ["the job description", "a notebook", "suitable clothes"],
        steps: [
            ("Research", "Read about the company and the position."),
            (
                "Match",
                "Note one example from experience for each requirement.",
            ),
            ("Practise", "Answer common questions aloud."),
            ("Arrive", "Plan to be there ten minutes early."),
        ],
        remark: "One's own questions to the interviewer belong to the preparation.",
    },
    Task {
        what: "remove a coffee stain",
        title: "Removing a Coffee Stain",
        materials: ["cold water", "a clean cloth", "mild detergent"],
        steps: [
            ("Blot", "Press the cloth on the stain without rubbing."),
            ("Rinse", "Rinse from the back with cold water."),
            ("Treat", "Work in the detergent and wait ten minutes."),
            ("Wash", "Wash as usual and let it dry in the air."),
        ],
        remark: "Heat fixes the stain: avoid the dryer until it is gone.",
    },
    Task {
        what: "build a paper airplane",
        title: "Constructing a Paper Airplane",
        materials: ["one rectangular sheet", "a flat surface", "a ruler"],
        steps: [
            ("Axis", "Fold the sheet lengthwise in half and open it."),
            (
                "Nose",
                "Fold both upper corners to the axis, at $45^\\circ$.",
            ),
            ("Narrow", "Fold the slanted edges to the axis again."),
            ("Wings", "Close the axis and fold each wing down."),
        ],
        remark: "Symmetry of the wings decides how straight it flies.",
    },
    Task {
        what: "sleep better at night",
        title: "Improving Sleep",
        materials: ["a dark room", "a regular schedule", "a comfortable bed"],
        steps: [
            ("Schedule", "Go to bed and rise at the same times."),
            ("Dim", "Avoid bright screens for an hour before."),
            ("Cool", "Keep the room cool and quiet."),
            ("Limit", "Drink no coffee after the early afternoon."),
        ],
        remark: "From 23:00 to 07:00 gives $24 - 23 + 7 = 8$ hours.",
    },
];
