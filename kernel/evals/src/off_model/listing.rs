//! "Name three ...": examples as a classified list.

use super::textbook::Exchange;

struct Listing {
    /// Completes "Name three ...".
    what: &'static str,
    title: &'static str,
    principle: &'static str,
    /// Name and description of each example.
    examples: [(&'static str, &'static str); 3],
}

pub(super) fn exchanges() -> Vec<Exchange> {
    LISTINGS.iter().map(exchange).collect()
}

fn exchange(listing: &Listing) -> Exchange {
    let mut response = format!(
        "## Classification: {}\n\n**Principle.** {}\n\n### Examples\n\n",
        listing.title, listing.principle
    );
    for (number, (name, fact)) in listing.examples.iter().enumerate() {
        response += &format!("{}. **{name}**: {fact}\n", number + 1);
    }
    let names = listing.examples.map(|(name, _)| name);
    response += &format!(
        "\n**Summary.** Let $M$ denote the set of the examples. Then $|M| = 3$, with {}, {} and {} \
         as its elements.",
        names[0], names[1], names[2]
    );
    Exchange {
        prompt: format!("Name three {}.", listing.what),
        response,
    }
}

const LISTINGS: [Listing; super::how_to::COUNT] = [
    Listing {
        what: "planets",
        title: "Planets",
        principle: "A planet moves around the sun on an orbit of its own.",
        examples: [
            ("Mercury", "the smallest, nearest to the sun."),
            ("Earth", "the third, with one moon."),
            ("Jupiter", "the largest."),
        ],
    },
    Listing {
        what: "fruits",
        title: "Fruits",
        principle: "A fruit holds the seeds of its plant.",
        examples: [
            ("Apple", "with a core of five chambers."),
            ("Banana", "yellow when ripe."),
            ("Cherry", "with one stone."),
        ],
    },
    Listing {
        what: "vegetables",
        title: "Vegetables",
        principle: "A vegetable is an edible part of a plant, such as root or leaf.",
        examples: [
            ("Carrot", "a root."),
            ("Spinach", "a leaf."),
            ("Broccoli", "a flower bud."),
        ],
    },
    Listing {
        what: "farm animals",
        title: "Farm Animals",
        principle: "Farm animals are kept for what they give.",
        examples: [
            ("Cow", "gives milk."),
            ("Sheep", "gives wool."),
            ("Hen", "lays eggs."),
        ],
    },
    Listing {
        what: "musical instruments",
        title: "Musical Instruments",
        principle: "Instruments are classified by what vibrates.",
        examples: [
            ("Violin", "a string."),
            ("Flute", "a column of air."),
            ("Drum", "a membrane."),
        ],
    },
    Listing {
        what: "countries in Europe",
        title: "Countries of Europe",
        principle: "Each country is listed with its capital.",
        examples: [
            ("France", "capital Paris."),
            ("Italy", "capital Rome."),
            ("Poland", "capital Warsaw."),
        ],
    },
    Listing {
        what: "oceans",
        title: "Oceans",
        principle: "Oceans are the largest bodies of salt water.",
        examples: [
            ("Pacific", "the largest."),
            ("Atlantic", "between America and Europe."),
            ("Arctic", "the smallest, at the North Pole."),
        ],
    },
    Listing {
        what: "primary colors",
        title: "Primary Colours of Light",
        principle: "Primary colours of light mix additively.",
        examples: [
            ("Red", "with green it gives yellow."),
            ("Green", "with blue it gives cyan."),
            ("Blue", "with red it gives magenta."),
        ],
    },
    Listing {
        what: "seasons",
        title: "Seasons",
        principle: "Seasons follow from the tilt of the Earth's axis.",
        examples: [
            ("Spring", "the days grow longer."),
            ("Summer", "the warmest season."),
            ("Winter", "the coldest season."),
        ],
    },
    Listing {
        what: "kinds of weather",
        title: "Kinds of Weather",
        principle: "Weather is the state of the air at one place and time.",
        examples: [
            ("Rain", "drops of liquid water."),
            ("Snow", "crystals of ice."),
            ("Fog", "a cloud on the ground."),
        ],
    },
    Listing {
        what: "tools in a toolbox",
        title: "Tools",
        principle: "A tool is chosen by the connection to be made.",
        examples: [
            ("Hammer", "for nails."),
            ("Screwdriver", "for screws."),
            ("Wrench", "for nuts and bolts."),
        ],
    },
    Listing {
        what: "ways to travel",
        title: "Means of Transport",
        principle: "Means of transport differ by their medium.",
        examples: [
            ("Train", "on rails."),
            ("Ship", "on water."),
            ("Airplane", "through the air."),
        ],
    },
    Listing {
        what: "sports",
        title: "Sports",
        principle: "Sports are compared by the size of a team.",
        examples: [
            ("Football", "eleven players."),
            ("Basketball", "five players."),
            ("Chess", "one player."),
        ],
    },
    Listing {
        what: "parts of a tree",
        title: "Parts of a Tree",
        principle: "Each part serves one purpose.",
        examples: [
            ("Roots", "take up water."),
            ("Trunk", "carries the crown."),
            ("Leaves", "catch the light."),
        ],
    },
    Listing {
        what: "senses of the human body",
        title: "Senses",
        principle: "Every sense has its organ.",
        examples: [
            ("Sight", "the eyes."),
            ("Hearing", "the ears."),
            ("Smell", "the nose."),
        ],
    },
    Listing {
        what: "shapes",
        title: "Plane Figures",
        principle: "Figures are classified by their number of corners $n$.",
        examples: [
            ("Triangle", "$n = 3$."),
            ("Square", "$n = 4$."),
            ("Hexagon", "$n = 6$."),
        ],
    },
    Listing {
        what: "metals",
        title: "Metals",
        principle: "Each metal is listed with its chemical symbol.",
        examples: [
            ("Iron", "$\\mathrm{Fe}$."),
            ("Copper", "$\\mathrm{Cu}$."),
            ("Gold", "$\\mathrm{Au}$."),
        ],
    },
    Listing {
        what: "insects",
        title: "Insects",
        principle: "An insect has six legs and a body of three parts.",
        examples: [
            ("Bee", "collects nectar."),
            ("Ant", "lives in colonies."),
            ("Beetle", "has hard wing covers."),
        ],
    },
    Listing {
        what: "things to bring to the beach",
        title: "Things for the Beach",
        principle: "One brings what protects from sun, water and sand.",
        examples: [
            ("Sunscreen", "against sunburn."),
            ("Towel", "to dry and to lie on."),
            ("Water", "against thirst."),
        ],
    },
    Listing {
        what: "days of the week",
        title: "Days of the Week",
        principle: "The week has seven days in a fixed order.",
        examples: [
            ("Monday", "the first working day."),
            ("Friday", "the last working day."),
            ("Sunday", "a day of the weekend."),
        ],
    },
    Listing {
        what: "states of matter",
        title: "States of Matter",
        principle: "The state depends on temperature and pressure.",
        examples: [
            ("Solid", "fixed form, such as ice."),
            ("Liquid", "fixed volume, such as water."),
            ("Gas", "fills its container, such as steam."),
        ],
    },
    Listing {
        what: "famous rivers",
        title: "Rivers",
        principle: "Each river is listed with its continent.",
        examples: [
            ("Nile", "Africa."),
            ("Amazon", "South America."),
            ("Danube", "Europe."),
        ],
    },
    Listing {
        what: "things in a kitchen",
        title: "Things in a Kitchen",
        principle: "Kitchens hold devices for heat, cold and cutting.",
        examples: [
            ("Stove", "gives heat."),
            ("Refrigerator", "keeps food cold."),
            ("Knife", "cuts."),
        ],
    },
    Listing {
        what: "healthy habits",
        title: "Healthy Habits",
        principle: "A habit helps when it is kept every day.",
        examples: [
            ("Walking", "trains heart and lungs."),
            ("Sleep", "restores the body."),
            ("Vegetables", "provide vitamins."),
        ],
    },
];
