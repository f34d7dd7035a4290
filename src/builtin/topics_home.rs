//! Topics of house, garden and kitchen; [`Topic`] says what the fields mean.

use super::topic::Topic;

/// What people ask about house, garden and kitchen.
pub(super) const HOME: [Topic; 20] = [
    Topic {
        words: &["tomato", "tomatoes"],
        goals: [
            "keep my tomato plants healthy",
            "grow better tomatoes",
            "save my weak tomato plants",
        ],
        right: [
            ("water the roots in the morning", "the leaves stay dry"),
            ("tie each stem to a stick", "the fruit stays off the ground"),
            ("give them six hours of sun", "the fruit gets sweet"),
            ("add compost to the soil", "the roots find more food"),
        ],
        wrong: ["pour salt on the soil", "keep them in a dark box"],
    },
    Topic {
        words: &["fern"],
        goals: ["keep my fern green", "stop my fern from turning brown", "care for a fern"],
        right: [
            ("keep it away from direct sun", "the leaves do not burn"),
            ("spray the leaves with water", "the air stays damp"),
            ("use a pot with holes", "extra water runs out"),
            ("turn the pot every week", "all sides get light"),
        ],
        wrong: ["put it on a hot stove", "cut off all the leaves"],
    },
    Topic {
        words: &["lawn"],
        goals: [
            "make my lawn look better",
            "get a thick green lawn",
            "fix the bare spots in my lawn",
        ],
        right: [
            ("cut the grass high", "weeds get less light"),
            ("spread new seed in spring", "the bare spots fill in"),
            ("pull weeds out by hand", "the grass has more room"),
            ("water it well once a week", "the roots grow deep"),
        ],
        wrong: ["paint the grass green", "park the car on the grass"],
    },
    Topic {
        words: &["roses"],
        goals: ["grow more roses", "care for my roses", "help my roses bloom"],
        right: [
            ("cut off the dead flowers", "new ones can grow"),
            ("leave space between the plants", "air can move freely"),
            ("feed them every spring", "they get strong"),
            ("check the leaves for bugs", "you can act early"),
        ],
        wrong: ["wash them with hot water", "cover them with plastic all summer"],
    },
    Topic {
        words: &["bread"],
        goals: ["bake good bread", "bake a soft loaf of bread", "make my bread rise"],
        right: [
            ("use warm water for the yeast", "the yeast wakes up"),
            ("knead the dough for ten minutes", "the loaf holds its shape"),
            ("let the dough rest in a warm place", "it gets twice as big"),
            ("bake it in a hot oven", "the crust gets crisp"),
        ],
        wrong: ["leave out the flour", "bake it for one minute"],
    },
    Topic {
        words: &["coffee"],
        goals: ["make better coffee", "brew a good cup of coffee", "make my coffee less bitter"],
        right: [
            ("grind the beans just before use", "the taste stays fresh"),
            ("use clean cold water", "nothing hides the taste"),
            ("weigh the beans each time", "every cup tastes the same"),
            ("rinse the pot every day", "old oil does not spoil it"),
        ],
        wrong: ["boil the beans for two hours", "use old dish water"],
    },
    Topic {
        words: &["soup"],
        goals: ["cook a tasty soup", "make my soup less bland", "make a simple soup"],
        right: [
            ("brown the onions first", "it tastes sweet and rich"),
            ("cook it over low heat", "the flavors have time to mix"),
            ("taste it before you add salt", "you do not add too much"),
            ("add fresh herbs at the end", "they keep their smell"),
        ],
        wrong: ["add a cup of sand", "cook it with no water at all"],
    },
    Topic {
        words: &["pasta"],
        goals: ["cook pasta well", "make pasta that does not stick", "prepare pasta for guests"],
        right: [
            ("use a large pot of water", "the pieces have room to move"),
            ("salt the water first", "the taste goes all the way in"),
            ("save a cup of the cooking water", "the sauce gets smooth"),
            ("test a piece before the time is up", "it stays firm"),
        ],
        wrong: ["cook it in cold milk", "leave it on the stove all night"],
    },
    Topic {
        words: &["eggs"],
        goals: ["boil eggs just right", "cook eggs for breakfast", "make eggs that peel easily"],
        right: [
            ("start the clock when the water boils", "you get the same result each time"),
            ("cool them in ice water", "the shells come off"),
            ("use eggs that are a week old", "they are easy to peel"),
            ("lower them in with a spoon", "they do not crack"),
        ],
        wrong: ["peel them before you cook them", "drop them in from high up"],
    },
    Topic {
        words: &["knife"],
        goals: ["keep my knife sharp", "look after a good knife", "make an old knife sharp"],
        right: [
            ("use a wooden board", "the edge lasts longer"),
            ("wash it by hand", "nothing hits the edge"),
            ("hold the blade at a low angle", "the edge gets thin and even"),
            ("store it in a block", "nobody gets hurt"),
        ],
        wrong: ["cut stones with it", "throw it in a box with other tools"],
    },
    Topic {
        words: &["fridge"],
        goals: [
            "clean my fridge",
            "get rid of a bad smell in my fridge",
            "keep my fridge in order",
        ],
        right: [
            ("throw out old food first", "you can see what is left"),
            ("wipe the shelves with warm water", "no sticky spots stay"),
            ("keep an open box of baking soda inside", "bad smells go away"),
            ("write the date on every box", "no food gets too old"),
        ],
        wrong: ["turn it off for the summer", "put soap on the food"],
    },
    Topic {
        words: &["dishes"],
        goals: [
            "wash the dishes faster",
            "deal with a pile of dirty dishes",
            "keep up with the dishes",
        ],
        right: [
            ("let the pans soak", "burnt food comes off"),
            ("start with the glasses", "the water stays clean longer"),
            ("use hot water and soap", "the fat comes off"),
            ("wash them right after the meal", "food does not dry on them"),
        ],
        wrong: ["hide them under the bed", "let the dog clean them"],
    },
    Topic {
        words: &["stain"],
        goals: ["get a stain out of my shirt", "get rid of a stain", "clean an old stain"],
        right: [
            ("act before it dries", "it does not set"),
            ("press it with a clean cloth", "it does not spread"),
            ("rinse it with cold water", "most of it comes out"),
            ("test the soap on a hidden spot", "you do no harm to the cloth"),
        ],
        wrong: ["rub it with mud", "cover it with ink"],
    },
    Topic {
        words: &["laundry"],
        goals: ["do my laundry", "keep my laundry from shrinking", "make my laundry smell fresh"],
        right: [
            ("sort the clothes by color", "white things stay white"),
            ("wash wool in cold water", "it keeps its size"),
            ("hang things up right away", "they do not smell damp"),
            ("read the label first", "you know what each piece needs"),
        ],
        wrong: ["wash it all in boiling water", "leave the wet clothes in a bag"],
    },
    Topic {
        words: &["window", "windows"],
        goals: ["clean my windows", "wash a dirty window", "get my windows to shine"],
        right: [
            ("choose a day without sun", "the soap does not dry too fast"),
            ("mix water with a little vinegar", "dirt comes off easily"),
            ("wipe from top to bottom", "drops do not leave marks"),
            ("dry the glass with a soft cloth", "you see no lines"),
        ],
        wrong: ["rub the glass with stones", "use honey to make it shine"],
    },
    Topic {
        words: &["closet"],
        goals: ["clean up my closet", "make room in my closet", "put a full closet in order"],
        right: [
            ("take everything out first", "you see all that you own"),
            ("give away what you do not wear", "there is more space"),
            ("sort things by season", "you find them fast"),
            ("fold the heavy things", "they keep their shape"),
        ],
        wrong: ["throw it all on the floor", "lock it and buy new clothes"],
    },
    Topic {
        words: &["bike"],
        goals: ["look after my bike", "fix my noisy bike", "get my bike ready for spring"],
        right: [
            ("oil the chain", "it runs without noise"),
            ("check the tires for air", "it rolls easily"),
            ("test the brakes before each ride", "you can stop in time"),
            ("keep it under a roof", "it does not rust"),
        ],
        wrong: ["put honey on the chain", "ride it without brakes"],
    },
    Topic {
        words: &["car"],
        goals: [
            "keep my car in good shape",
            "make my car last longer",
            "get my car ready for winter",
        ],
        right: [
            ("check the oil every month", "the engine runs well"),
            ("change the tires for the season", "you can stop on ice"),
            ("keep the lights clean", "others can see you"),
            ("have it checked once a year", "small problems do not grow"),
        ],
        wrong: ["fill the engine with water", "cover the warning lights with tape"],
    },
    Topic {
        words: &["paint"],
        goals: ["paint my bedroom wall", "paint a room", "get smooth paint on a wall"],
        right: [
            ("fill the holes first", "the wall looks even"),
            ("cover the floor with old sheets", "drops do no harm"),
            ("put tape on the edges", "the lines are straight"),
            ("put on two thin coats", "the color covers well"),
        ],
        wrong: ["paint over wet spots", "use a shoe as a brush"],
    },
    Topic {
        words: &["door"],
        goals: ["stop my door from making noise", "fix a noisy door", "make an old door quiet"],
        right: [
            ("oil the metal parts", "they move freely"),
            ("turn the screws tight", "it does not hang low"),
            ("clean the dust from the frame", "nothing rubs"),
            ("check that the frame is straight", "it closes well"),
        ],
        wrong: ["hit it until it stops", "fill the lock with glue"],
    },
];
