//! Topics of body, learning, work and company; [`Topic`] says what the fields mean.

use super::topic::Topic;

/// What people ask about body, learning, work and company.
pub(super) const LIFE: [Topic; 20] = [
    Topic {
        words: &["sleep", "asleep"],
        goals: ["sleep better", "fall asleep faster", "get more sleep"],
        right: [
            ("go to bed at the same time", "your body learns when to rest"),
            ("keep the room dark and cool", "you wake up less often"),
            ("put your phone away at night", "your mind gets calm"),
            ("skip coffee after lunch", "you feel tired at night"),
        ],
        wrong: ["drink six cups of coffee at night", "watch loud films in bed"],
    },
    Topic {
        words: &["run", "running"],
        goals: ["start running", "run my first race", "get better at running"],
        right: [
            ("start with short runs", "your legs get used to it"),
            ("wear good shoes", "your feet do not hurt"),
            ("rest two days a week", "your legs get strong again"),
            ("add a little more each week", "you do not get hurt"),
        ],
        wrong: ["run ten hours on the first day", "run in heavy winter shoes"],
    },
    Topic {
        words: &["back"],
        goals: ["ease my sore back", "keep my back strong", "help my tired back"],
        right: [
            ("stand up every half hour", "your body does not get stiff"),
            ("keep both feet on the floor", "your weight is even"),
            ("lift with your legs", "your back stays straight"),
            ("stretch in the morning", "you move more easily"),
        ],
        wrong: ["lift heavy boxes with one arm", "sit still all day"],
    },
    Topic {
        words: &["cold"],
        goals: ["get over a cold", "feel better with a cold", "get rid of a cold"],
        right: [
            ("drink plenty of water", "your throat feels better"),
            ("rest for a day or two", "your body can fight it"),
            ("wash your hands often", "others do not catch it"),
            ("eat something warm", "your nose clears up"),
        ],
        wrong: ["sleep in an ice cold room", "stay up all night"],
    },
    Topic {
        words: &["exam"],
        goals: ["study for my exam", "prepare for a hard exam", "pass my exam"],
        right: [
            ("make a plan for each day", "nothing is left to the end"),
            ("answer old questions", "you see what you do not know"),
            ("explain it to a friend", "you see if you really know it"),
            ("sleep well the night before", "your mind is fresh"),
        ],
        wrong: ["start one hour before it", "read only the title"],
    },
    Topic {
        words: &["language"],
        goals: ["learn a new language", "remember words in a new language", "practice a language"],
        right: [
            ("learn a little every day", "the words stay in your mind"),
            ("listen to songs and films", "your ear gets used to it"),
            ("speak from the first day", "you lose your fear"),
            ("write new words on cards", "you can learn them on the bus"),
        ],
        wrong: ["read ten books in one night", "stop when you make a mistake"],
    },
    Topic {
        words: &["guitar"],
        goals: ["learn the guitar", "play the guitar better", "practice the guitar"],
        right: [
            ("tune it before you play", "every note sounds right"),
            ("practice with a slow beat", "your fingers find the place"),
            ("learn three easy songs first", "you have fun from the start"),
            ("keep your nails short", "the strings ring clearly"),
        ],
        wrong: ["cut two of the strings", "play with thick gloves"],
    },
    Topic {
        words: &["interview"],
        goals: [
            "prepare for a job interview",
            "do well in an interview",
            "stay calm in an interview",
        ],
        right: [
            ("read about the company", "you can ask good questions"),
            ("practice your answers aloud", "the words come easily"),
            ("arrive ten minutes early", "you have time to breathe"),
            ("bring examples of your work", "they see what you can do"),
        ],
        wrong: ["tell them that you hate work", "ask to sleep at work"],
    },
    Topic {
        words: &["email"],
        goals: ["write a clear email", "write a polite email", "answer a long email"],
        right: [
            ("put the main point first", "the reader sees it at once"),
            ("keep the lines short", "it is easy to read"),
            ("choose a clear title", "it is easy to find later"),
            ("read it once before you send it", "you find your mistakes"),
        ],
        wrong: ["write it without any spaces", "send it ten times"],
    },
    Topic {
        words: &["speech"],
        goals: ["give a good speech", "write a wedding speech", "feel calm before a speech"],
        right: [
            ("tell a short story", "people remember it"),
            ("look at the people in the room", "they feel that you mean them"),
            ("speak slowly", "everyone can follow"),
            ("practice in front of a friend", "you know what to change"),
        ],
        wrong: ["turn away from the people", "talk for five hours"],
    },
    Topic {
        words: &["budget"],
        goals: ["plan my budget", "keep to a budget", "make a family budget"],
        right: [
            ("write down what you spend", "you see where it goes"),
            ("put some money away first", "you do not miss it later"),
            ("wait a day before you buy something", "you skip what you do not need"),
            ("compare the prices", "you pay less for the same thing"),
        ],
        wrong: ["spend it all on one big party", "throw away every bill"],
    },
    Topic {
        words: &["dog"],
        goals: ["train my dog", "stop my dog from barking", "teach my dog to sit"],
        right: [
            ("give it a treat when it listens", "it wants to do it again"),
            ("use the same words each time", "it knows what you mean"),
            ("take it for long walks", "it is tired and calm"),
            ("keep the lessons short", "it does not get bored"),
        ],
        wrong: ["shout at it all day", "let it eat your shoes"],
    },
    Topic {
        words: &["cat"],
        goals: ["help my new cat feel safe", "keep my cat happy", "care for a cat"],
        right: [
            ("give it a quiet corner", "it has a place to hide"),
            ("play with it every evening", "it does not get fat"),
            ("clean its box every day", "it keeps using it"),
            ("let it come to you", "it learns to trust you"),
        ],
        wrong: ["wake it up every hour", "wash it in cold water twice a day"],
    },
    Topic {
        words: &["party"],
        goals: ["plan a birthday party", "give a small party", "make a party fun"],
        right: [
            ("make a list of guests", "you know how much food to buy"),
            ("invite people early", "they can keep the day free"),
            ("ask friends to bring a dish", "you have less to cook"),
            ("choose music that people know", "they like to dance"),
        ],
        wrong: ["lock the door when guests arrive", "send everyone home at once"],
    },
    Topic {
        words: &["gift"],
        goals: ["find a good gift", "choose a gift for my mother", "choose a gift for a friend"],
        right: [
            ("think about what they enjoy", "it fits the person"),
            ("listen when they talk about wishes", "you know what they hope for"),
            ("add a note in your own words", "it feels warm"),
            ("ask their family", "you do not buy what they own"),
        ],
        wrong: ["give them your old shoes", "leave the price on in big numbers"],
    },
    Topic {
        words: &["suitcase"],
        goals: ["pack my suitcase", "pack a light suitcase", "fit it all in one suitcase"],
        right: [
            ("make a list of what you need", "you do not forget your phone"),
            ("roll your clothes", "they take less space"),
            ("wear the heavy shoes", "the bag is not so heavy"),
            ("put soap in a plastic bag", "your clothes stay dry"),
        ],
        wrong: ["take three winter coats to the beach", "fill it with stones"],
    },
    Topic {
        words: &["camping", "tent"],
        goals: ["go camping", "set up my tent", "stay dry in a tent"],
        right: [
            ("find high flat ground", "rain runs away from you"),
            ("practice once in the garden", "you can do it in the dark"),
            ("bring a warm sleeping bag", "you do not freeze at night"),
            ("store food far from the tent", "animals stay away"),
        ],
        wrong: ["sleep in a dry river", "light a fire inside the tent"],
    },
    Topic {
        words: &["neighbor", "neighbors"],
        goals: [
            "get along with my neighbors",
            "make friends with my neighbors",
            "talk to a noisy neighbor",
        ],
        right: [
            ("say hello when you meet", "they get to know you"),
            ("stay calm and polite", "they are ready to listen"),
            ("offer help with small things", "they will help you too"),
            ("tell them before a loud party", "they can plan for it"),
        ],
        wrong: ["shout at them from the roof", "play loud music at night"],
    },
    Topic {
        words: &["late"],
        goals: ["stop being late", "be less late for work", "avoid being late for class"],
        right: [
            ("lay out your clothes at night", "you save time in the morning"),
            ("set two clocks", "you wake up in time"),
            ("leave ten minutes early", "a slow bus does not matter"),
            ("keep your keys in one place", "you do not have to look for them"),
        ],
        wrong: ["throw the clock out of the window", "start a long film before you leave"],
    },
    Topic {
        words: &["computer"],
        goals: ["make my old computer faster", "take care of my computer", "fix my slow computer"],
        right: [
            ("close what you do not use", "it has more memory free"),
            ("install the updates", "known problems get fixed"),
            ("clean the dust from the fan", "it stays cool"),
            ("save copies of your files", "nothing is lost if it breaks"),
        ],
        wrong: ["pour water on the keys", "throw away files without a look at them"],
    },
];
